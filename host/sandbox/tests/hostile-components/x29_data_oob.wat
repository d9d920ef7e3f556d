;; expect: run/trap run/world
;; note: a data segment past the end of memory
;; slot items
(data (i32.const 0x7ffffff0) "far")
