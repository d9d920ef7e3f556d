;; expect: run/error
;; note: answers every call with an error
;; slot before
(i32.store8 (i32.const 0x400) (i32.const 1)) (i32.store (i32.const 0x404) (i32.const 0x900)) (i32.store (i32.const 0x408) (i32.const 9)) (return (i32.const 0x400))
