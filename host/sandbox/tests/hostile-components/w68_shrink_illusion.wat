;; expect: accepted
;; note: grows memory while it is called: a raw pointer of the host would be stale
;; slot before
(drop (memory.grow (i32.const 16)))
