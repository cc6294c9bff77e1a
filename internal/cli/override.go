package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"kasgen/internal/diag"
)

// EnvPrefix begins the names of variables that set flags: --kas-name is also
// KASGEN_KAS_NAME.
const EnvPrefix = "KASGEN"

// Override is a flag that replaces one scalar of a file.
type Override struct {
	Flag  string // without the dashes
	Field string // the path of the scalar in the file
	Usage string
}

// Value is an override that was given.
type Value struct {
	Override
	Text   string
	Source string // "--kas-name" or "KASGEN_KAS_NAME", for findings
}

// Values are the overrides of one command. viper decides what holds: a flag
// before a variable.
type Values struct {
	v    *viper.Viper
	cmd  *cobra.Command
	list []Override
}

// AddOverrides gives cmd a flag for each override.
func AddOverrides(cmd *cobra.Command, list []Override) *Values {
	v := viper.New()
	v.SetEnvPrefix(EnvPrefix)
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	v.AllowEmptyEnv(true) // an empty variable unsets, as an empty flag does
	for _, o := range list {
		cmd.Flags().String(o.Flag, "", o.Usage+" ("+o.Field+")")
		if err := v.BindPFlag(o.Flag, cmd.Flags().Lookup(o.Flag)); err != nil {
			panic("cli: " + err.Error()) // the flag was added on the line above
		}
	}
	for _, o := range list {
		if err := cmd.Flags().SetAnnotation(o.Flag, variableOf, []string{variable(o.Flag)}); err != nil {
			panic("cli: " + err.Error()) // the flag was added above
		}
	}
	return &Values{v: v, cmd: cmd, list: list}
}

// variableOf annotates a flag with the name of its variable.
const variableOf = "kasgen_variable"

// Variable sets a flag from the environment.
type Variable struct{ Name, Flag string }

// Variables are those of cmd, by flag.
func Variables(cmd *cobra.Command) []Variable {
	var list []Variable
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		for _, name := range f.Annotations[variableOf] {
			list = append(list, Variable{Name: name, Flag: f.Name})
		}
	})
	return list
}

// CheckVariables refuses a variable in environ, of the form NAME=value, that
// begins as ours do and sets no flag of the command.
func (vs *Values) CheckVariables(environ []string) error {
	var known []string
	for _, o := range vs.list {
		known = append(known, variable(o.Flag))
	}
	var faults []string
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, EnvPrefix+"_") || slices.Contains(known, name) {
			continue
		}
		fix := "unset it; --help lists the flags that have variables"
		if near := diag.Nearest(name, known); near != "" {
			fix = "did you mean " + near + "?"
		}
		faults = append(faults, "the variable "+name+" sets nothing: "+fix)
	}
	if len(faults) == 0 {
		return nil
	}
	slices.Sort(faults)
	return Usage("%s", strings.Join(faults, "\n"))
}

func variable(flag string) string {
	return EnvPrefix + "_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Given lists the overrides that the caller set, in the order of the list.
func (vs *Values) Given() []Value {
	var given []Value
	for _, o := range vs.list {
		source := "--" + o.Flag
		if !vs.cmd.Flags().Changed(o.Flag) {
			if !vs.v.IsSet(o.Flag) {
				continue
			}
			source = variable(o.Flag)
		}
		given = append(given, Value{Override: o, Text: vs.v.GetString(o.Flag), Source: source})
	}
	return given
}
