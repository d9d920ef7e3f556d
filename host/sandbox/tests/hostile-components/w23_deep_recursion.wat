;; expect: run/trap run/fuel
;; note: unbounded recursion
;; slot items
(func $r (param i32) (result i32) (i32.add (i32.const 1) (call $r (i32.add (local.get 0) (i32.const 1)))))
;; slot before
(drop (call $r (i32.const 0)))
