;; expect: run/trap
;; note: realloc traps
;; slot realloc
unreachable
