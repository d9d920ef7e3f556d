;; expect: component/tables
;; note: nine tables
;; slot items
(table 1 1 funcref)
;; slot export
(core module (table 1 1 funcref))
(core module (table 1 1 funcref))
(core module (table 1 1 funcref))
(core module (table 1 1 funcref))
(core module (table 1 1 funcref))
(core module (table 1 1 funcref))
(core module (table 1 1 funcref))
(core module (table 1 1 funcref))
(export "lossbox:preference/loss@0.1.0" (instance $interface))
