;; expect: run/trap probe/metadata
;; note: a name that is not UTF-8
;; slot describe
(i32.store8 (i32.const 0x901) (i32.const 0xff)) (i32.const 0x800)
