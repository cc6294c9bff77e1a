package vhost

import (
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"syscall"
)

// root is $document_root: the directory below which files lie, with alias the
// place of the location itself.
func (q *request) root() string {
	if a := q.settings.alias; a != nil {
		return a.of(q)
	}
	if r := q.settings.root; r != nil {
		return strings.TrimSuffix(r.of(q), "/")
	}
	return ""
}

// file is the name of the file that the path stands for. The path has no dot
// segments any more, so that it cannot lead out of the root.
func (q *request) file() string {
	if q.settings.alias != nil && q.loc.pattern == nil {
		return q.root() + strings.TrimPrefix(q.uri, q.loc.name)
	} else if q.settings.alias != nil {
		return q.root()
	}
	return q.root() + q.uri
}

// static answers with a file.
func (q *request) static() step {
	switch q.method {
	case http.MethodGet, http.MethodHead:
	default:
		return q.fail(http.StatusMethodNotAllowed)
	}
	if q.settings.root == nil && q.settings.alias == nil || strings.Contains(q.uri, "\x00") {
		// nginx would look in the directory that it was built with.
		return q.fail(http.StatusNotFound)
	}
	name := q.file()
	if escapes(name) {
		return q.fail(http.StatusNotFound)
	}
	if q.settings.noLinks && q.linked(name) {
		return q.fail(http.StatusForbidden)
	}
	if strings.HasSuffix(q.uri, "/") {
		return q.directory(name)
	}
	data, err := q.run.host.ReadFile(name)
	switch {
	case err == nil:
		h := http.Header{}
		if t := q.contentType(); t != "" {
			h.Set("Content-Type", t)
		}
		return q.send(http.StatusOK, h, string(data))
	case errors.Is(err, syscall.EISDIR):
		to := escape(q.uri+"/", inURI)
		if q.args != "" {
			to += "?" + q.args
		}
		return q.redirect(http.StatusMovedPermanently, to)
	}
	return q.fail(q.unreadable(name, err))
}

// linked tells whether some part of a path is a symbolic link. It looks before
// the file is opened, and not at the same time as nginx does: who can put links
// there can win, but could write the file as well.
func (q *request) linked(name string) bool {
	for i := 1; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		if info, err := q.run.host.Lstat(name[:i]); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}

// escapes tells whether a name climbs, which only an alias or a variable could
// make it do.
func escapes(name string) bool {
	return strings.Contains(name+"/", "/../") || !path.IsAbs(name)
}

// directory answers for a path that ends with a slash: with its index, if there
// is one.
func (q *request) directory(name string) step {
	for _, index := range q.settings.index {
		to := index
		if !strings.HasPrefix(to, "/") {
			if _, err := q.run.host.ReadFile(name + index); err != nil {
				continue
			}
			to = q.uri + index
		}
		return q.internalRedirect(to)
	}
	if _, err := q.run.host.ReadFile(strings.TrimSuffix(name, "/")); errors.Is(err, syscall.EISDIR) {
		return q.fail(http.StatusForbidden)
	}
	return q.fail(http.StatusNotFound)
}

func (q *request) unreadable(name string, err error) int {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		return http.StatusNotFound
	case errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden
	}
	q.run.log.Error("reading a file", "file", name, "error", err)
	return http.StatusInternalServerError
}

// contentType is by the path's extension, or default_type.
func (q *request) contentType() string {
	base := q.uri[strings.LastIndexByte(q.uri, '/')+1:]
	if i := strings.LastIndexByte(base, '.'); i >= 0 {
		if t, ok := q.settings.types[strings.ToLower(base[i+1:])]; ok {
			return t
		}
	}
	return q.settings.defaultType
}
