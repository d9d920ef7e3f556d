;; expect: accepted
;; note: overwrites its input after use: harmless, since nobody reads it back
;; slot row
(f64.store (i32.add (local.get $pc) (local.get $o)) (f64.const 12345)) (f64.store (i32.add (local.get $rr) (local.get $o)) (f64.const -1))
