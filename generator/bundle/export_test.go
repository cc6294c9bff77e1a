package bundle

// WriteStepped is Write with a call ahead of each operation that changes
// something; renames takes the way of systems that cannot exchange two
// directories.
func (b *Bundle) WriteStepped(step func(), renames bool, dir string, force bool) (*Comparison, error) {
	return b.write(disk{before: step, renames: renames}, dir, force)
}

// RollbackStepped is Rollback in the same way.
func RollbackStepped(step func(), renames bool, dir string, n int, force bool) (*Comparison, error) {
	return rollback(disk{before: step, renames: renames}, dir, n, force)
}
