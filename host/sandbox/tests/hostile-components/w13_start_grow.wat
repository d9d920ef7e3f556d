;; expect: component/no-start
;; note: start function grows memory
;; slot items
(func $s (drop (memory.grow (i32.const 60000)))) (start $s)
