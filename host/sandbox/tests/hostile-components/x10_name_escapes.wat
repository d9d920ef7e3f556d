;; expect: probe/metadata
;; note: terminal escapes in the name
;; slot describe
(i32.store (i32.const 0x900) (i32.const 0x324a5b1b)) (i32.const 0x800)
