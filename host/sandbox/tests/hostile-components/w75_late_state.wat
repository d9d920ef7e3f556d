;; expect: accepted
;; note: changes after 10000 calls: a fresh instance for each call has nothing to count with
;; slot items
(global $c (mut i32) (i32.const 0))
;; slot before
(global.set $c (i32.add (global.get $c) (i32.const 1)))
;; slot row
(if (i32.gt_u (global.get $c) (i32.const 10000)) (then (f64.store (i32.add (local.get $gc) (local.get $o)) (f64.const 0))))
