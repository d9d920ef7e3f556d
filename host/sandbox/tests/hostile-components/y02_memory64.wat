;; expect: component/proposals
;; note: a memory of 64-bit addresses
;; slot items
(memory $second i64 1 1)
