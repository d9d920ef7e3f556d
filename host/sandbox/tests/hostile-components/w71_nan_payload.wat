;; expect: probe/finite
;; note: signalling NaN with a payload in a gradient
;; slot row
(i64.store (i32.add (local.get $gc) (local.get $o)) (i64.const 0x7ff4dead00000001))
