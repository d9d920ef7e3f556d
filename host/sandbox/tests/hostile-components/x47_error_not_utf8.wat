;; expect: run/trap run/error
;; note: an error text that is not UTF-8
;; slot before
(i32.store8 (i32.const 0x400) (i32.const 1)) (i32.store (i32.const 0x404) (i32.const 0x700)) (i32.store (i32.const 0x408) (i32.const 4)) (i32.store (i32.const 0x700) (i32.const -1)) (return (i32.const 0x400))
