;; expect: accepted run/trap
;; note: grows until it fails in each call; must stop at the cap, by -1 or by a trap
;; slot before
(block $o (loop $g (br_if $o (i32.eq (memory.grow (i32.const 64)) (i32.const -1))) (br $g)))
