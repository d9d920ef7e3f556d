;; expect: component/memory
;; note: 64 KiB more than may be
;; slot memory
(memory (export "memory") 1 1025)
