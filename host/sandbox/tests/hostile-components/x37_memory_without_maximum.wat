;; expect: component/memory
;; note: memory without a maximum
;; slot memory
(memory (export "memory") 1)
