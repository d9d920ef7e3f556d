;; expect: run/trap
;; note: call_indirect on an empty slot
;; slot items
(type $t (func)) (table 4 4 funcref)
;; slot before
(call_indirect (type $t) (i32.const 2))
