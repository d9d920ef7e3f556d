;; expect: accepted run/trap
;; note: the clean-up takes all memory
;; slot evaluate-post
(block $o (loop $g (br_if $o (i32.eq (memory.grow (i32.const 64)) (i32.const -1))) (br $g)))
