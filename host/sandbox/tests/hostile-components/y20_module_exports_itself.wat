;; expect: component/world component/structure component/valid
;; note: exports its module
;; slot export
(export "lossbox:preference/loss@0.1.0" (instance $interface)) (export "module" (core module $loss))
