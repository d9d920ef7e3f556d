;; expect: component/proposals
;; note: an asynchronous lift
;; slot lift-describe
(canon lift (core func $core "describe") (memory $memory) async)
