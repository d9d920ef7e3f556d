;; expect: accepted
;; note: data segments that overlap: the later one wins
;; slot items
(data (i32.const 0x3000) "first") (data (i32.const 0x3002) "second")
