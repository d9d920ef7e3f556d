;; expect: component/no-start
;; note: endless loop in the start function
;; slot items
(func $s (loop $x (br $x))) (start $s)
