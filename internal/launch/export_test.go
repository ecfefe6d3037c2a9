package launch

import "slices"

// Program is the code decoded.
func (c *Code) Program() *Program {
	p := c.frame
	p.Relocs = slices.AppendSeq(p.Relocs, c.eachReloc)
	for _, call := range c.eachCall {
		p.Calls = append(p.Calls, *call)
	}
	return &p
}
