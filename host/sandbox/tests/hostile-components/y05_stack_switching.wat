;; expect: component/proposals component/valid
;; note: continuations
;; slot items
(type $ft (func)) (type $ct (cont $ft))
