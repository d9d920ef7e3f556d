;; expect: component/structure
;; note: components five deep
(component (component (component (component (component )))))
