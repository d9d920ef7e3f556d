;; expect: component/proposals
;; note: one-byte pages
;; slot memory
(memory (export "memory") 524288 600000 (pagesize 1))
