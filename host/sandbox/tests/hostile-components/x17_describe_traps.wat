;; expect: run/trap
;; note: describe traps
;; slot describe
unreachable
