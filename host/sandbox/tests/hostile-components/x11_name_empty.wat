;; expect: probe/metadata
;; note: no name
;; slot describe
(i32.store (i32.const 0x804) (i32.const 0)) (i32.const 0x800)
