;; expect: run/trap probe/metadata
;; note: an enum case that does not exist
;; slot describe
(i32.store8 (i32.const 0x81c) (i32.const 200)) (i32.const 0x800)
