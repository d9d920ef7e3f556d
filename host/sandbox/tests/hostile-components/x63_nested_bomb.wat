;; expect: component/structure
;; note: five components within the component
;; slot export
(component)
(component)
(component)
(component)
(export "lossbox:preference/loss@0.1.0" (instance $interface))
