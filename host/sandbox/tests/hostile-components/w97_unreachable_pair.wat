;; expect: run/trap
;; note: traps only for replies of 4000 tokens and more
;; slot row
(if (i32.gt_u (i32.load (i32.add (local.get $ct) (i32.shl (local.get $i) (i32.const 2)))) (i32.const 3999)) (then unreachable))
