;; expect: component/proposals
;; note: 64-bit table
;; slot items
(table i64 0x7fffffffffffffff funcref)
