;; expect: run/trap probe/metadata
;; note: an option that is neither none nor some
;; slot describe
(i32.store8 (i32.const 0x810) (i32.const 2)) (i32.const 0x800)
