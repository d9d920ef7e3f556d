;; expect: run/trap
;; note: a call through the table to a function of another type
;; slot items
(type $other (func (param f64))) (table 1 1 funcref) (elem (i32.const 0) $victim) (func $victim)
;; slot before
(call_indirect (type $other) (f64.const 1) (i32.const 0))
