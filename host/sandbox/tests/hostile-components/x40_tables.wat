;; expect: component/tables
;; note: a table of 1001 elements
;; slot items
(table 1001 1001 funcref)
