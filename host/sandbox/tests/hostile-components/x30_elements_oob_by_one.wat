;; expect: run/trap run/world
;; note: one element too many for its table
;; slot items
(table 2 2 funcref) (elem (i32.const 1) $bump $bump)
