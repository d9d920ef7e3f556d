;; expect: component/world
;; note: no export
;; slot export

