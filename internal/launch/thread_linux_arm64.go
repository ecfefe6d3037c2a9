package launch

// threadLocal is nowhere: without C, Go keeps the goroutine in a register.
func threadLocal() uintptr { return 0 }
