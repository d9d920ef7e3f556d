;; expect: component/proposals
;; note: two memories in one module
;; slot items
(memory $second 1 1)
