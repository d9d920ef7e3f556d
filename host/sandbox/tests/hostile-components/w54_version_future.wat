;; expect: component/world
;; note: another version of the contract
;; slot export
(export "lossbox:preference/loss@0.999.0" (instance $interface))
