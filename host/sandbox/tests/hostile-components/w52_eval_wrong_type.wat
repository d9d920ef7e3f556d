;; expect: component/valid
;; note: evaluate has another signature
;; slot lift-evaluate
(canon lift (core func $core "describe") (memory $memory) (realloc $realloc))
