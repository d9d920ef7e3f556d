;; expect: accepted run/trap
;; note: traps without a pair, which no call has
;; slot before
(if (i32.eqz (local.get $n)) (then unreachable))
