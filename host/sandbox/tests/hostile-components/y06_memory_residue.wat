;; expect: accepted
;; note: answers what memory held before the call: nothing, in a fresh instance
;; slot row
(f64.store (i32.add (local.get $losses) (local.get $o)) (f64.add (f64.load (i32.add (local.get $losses) (local.get $o))) (f64.load (i32.const 0x700))))
