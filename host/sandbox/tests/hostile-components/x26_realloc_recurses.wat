;; expect: run/trap run/fuel
;; note: realloc calls itself
;; slot items
(func $deep (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
;; slot realloc
(call $deep (i32.const 0))
