;; expect: run/trap run/world
;; note: active element segment outside the table
;; slot items
(table 1 1 funcref) (elem (i32.const 9) $bump)
