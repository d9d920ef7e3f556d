;; expect: component/valid
;; note: memory not exported
;; slot memory
(memory 1 1024)
