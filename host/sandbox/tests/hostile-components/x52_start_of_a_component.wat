;; expect: component/proposals component/valid
;; note: a start function of the component
(component (core module $m (func (export "f"))) (core instance $i (instantiate $m)) (func $f (canon lift (core func $i "f"))) (start $f))
