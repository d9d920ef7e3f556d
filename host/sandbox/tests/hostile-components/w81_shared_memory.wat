;; expect: component/proposals
;; note: shared memory: a resource limiter is not asked for it
;; slot memory
(memory (export "memory") 8 1000 shared)
