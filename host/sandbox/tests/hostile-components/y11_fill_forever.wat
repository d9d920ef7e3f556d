;; expect: run/fuel
;; note: fills all memory over and over
;; slot before
(loop $l (memory.fill (i32.const 8192) (i32.const 0) (i32.const 32768)) (br $l))
