;; expect: run/fuel run/timeout
;; note: memory.copy in a loop
;; slot memory
(memory (export "memory") 512 1024)
;; slot before
(loop $x (memory.copy (i32.const 400000) (i32.const 400008) (i32.const 16000000)) (br $x))
